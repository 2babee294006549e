"""All the SQL there is. A migration is never changed once released; a new one is added."""

MIGRATIONS = (
    """
    CREATE TABLE session (
        id      TEXT PRIMARY KEY,
        agent   TEXT NOT NULL,
        created REAL NOT NULL
    ) STRICT;
    CREATE TABLE turn (
        id       INTEGER PRIMARY KEY,
        session  TEXT NOT NULL REFERENCES session(id) ON DELETE CASCADE,
        started  REAL NOT NULL,
        finished REAL,
        owner    TEXT NOT NULL,           -- the process that runs it, while it runs
        state    TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted'))
    ) STRICT;
    CREATE INDEX turn_by_session ON turn(session, id);
    CREATE UNIQUE INDEX turn_running ON turn(session) WHERE state = 'running';
    CREATE TABLE message (
        id      INTEGER PRIMARY KEY,
        turn    INTEGER NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
        role    TEXT NOT NULL,
        content TEXT NOT NULL,
        calls   TEXT NOT NULL,            -- JSON list of {id, name, arguments}
        call_id TEXT NOT NULL,
        name    TEXT NOT NULL
    ) STRICT;
    CREATE INDEX message_by_turn ON message(turn, id);
    """,
    """
    ALTER TABLE message ADD COLUMN pending TEXT;  -- JSON of the call that a question asks for
    """,
)

OPEN_SESSION = "INSERT INTO session (id, agent, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
RUNNING_TURN = "SELECT id, owner FROM turn WHERE session = ? AND state = 'running'"
BEGIN_TURN = "INSERT INTO turn (session, started, owner, state) VALUES (?, ?, ?, 'running')"
END_TURN = "UPDATE turn SET state = ?, finished = ? WHERE id = ? AND state = 'running'"
ADD_MESSAGE = """
    INSERT INTO message (turn, role, content, calls, call_id, name, pending)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
HISTORY = """
    SELECT turn.id, turn.state, role, content, calls, call_id, name, pending
    FROM turn JOIN message ON message.turn = turn.id
    WHERE turn.session = ? AND turn.state <> 'running'
    ORDER BY message.id
"""
SESSIONS = """
    SELECT session.id, session.agent, session.created,
           (SELECT count(*) FROM turn WHERE turn.session = session.id) AS turns
    FROM session ORDER BY session.created DESC
"""
