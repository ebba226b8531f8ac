import { defineConfig } from 'vite';

export default defineConfig({
  base: '/',
  build: {
    target: 'es2020',
    modulePreload: { polyfill: false },
    // hls.js is one module of about 500 kB; it is loaded only when it plays.
    chunkSizeWarningLimit: 800,
  },
});
