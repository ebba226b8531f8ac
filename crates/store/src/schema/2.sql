-- How many broadcasts of an app were made lately.
CREATE INDEX broadcast_created ON broadcast (app, created_at);
