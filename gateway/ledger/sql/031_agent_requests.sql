-- What authorized agents asked for by the Data Rights Protocol (gateway/desk/agent_requests.py), each once: `message` is a
-- keyed digest of what was signed and by whom, `until` when that expires by its own word. `mailbox`: while it is waited for whoever
-- has that mailbox or number, a keyed digest of it. `called`: what the agent calls it, sealed. `unread`: members that
-- nothing could be done with.
CREATE TABLE IF NOT EXISTS agent_request (
  id BLOB PRIMARY KEY, agent TEXT NOT NULL, message BLOB NOT NULL UNIQUE, exercise TEXT NOT NULL, at INTEGER NOT NULL,
  until INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, unread TEXT NOT NULL, mailbox BLOB, called BLOB,
  settled INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agent_request_waits ON agent_request (mailbox) WHERE mailbox IS NOT NULL;
CREATE INDEX IF NOT EXISTS agent_request_due ON agent_request (at) WHERE mailbox IS NOT NULL;
CREATE INDEX IF NOT EXISTS agent_request_settled ON agent_request (settled) WHERE settled IS NOT NULL;
