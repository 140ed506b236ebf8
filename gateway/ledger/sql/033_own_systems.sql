-- The operator's own systems, as the configuration names them (gateway/desk/own_systems.py): by which kinds of identifier each
-- knows people, and whether it is told of noes. One stays until it is ended: whoever writes without the configuration
-- tells it all the same.
CREATE TABLE IF NOT EXISTS own_system (name TEXT PRIMARY KEY, kinds TEXT NOT NULL, suppressed INTEGER NOT NULL) STRICT;
-- What each is asked to delete: the message (outbox), which act asks for it (of a state's list none: deletion_message), and
-- by when at the latest, Unix milliseconds.
CREATE TABLE IF NOT EXISTS system_order (message BLOB PRIMARY KEY, event BLOB, last INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS system_order_event ON system_order (event) WHERE event IS NOT NULL;
-- Agents' requests that are fulfilled once everybody whom an act asks has deleted.
CREATE TABLE IF NOT EXISTS agent_deletion (id BLOB PRIMARY KEY, event BLOB NOT NULL) STRICT;
