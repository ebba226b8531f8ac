/** Hands the players' pages and scripts to the browser, from an origin that is not the media server's. */
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const FOLDERS = { '/rig/': HERE, '/modules/': join(HERE, '../node_modules') };
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

/** Serves until `close()`; `at` is its address. */
export async function servePages() {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://rig').pathname);
    const folder = Object.keys(FOLDERS).find((prefix) => path.startsWith(prefix));
    const file = folder && (await readFile(join(FOLDERS[folder], path.slice(folder.length))).catch(() => null));
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(file);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { at: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
