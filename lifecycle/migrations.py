"""The ledger's schema, append-only: a migration that has landed is never edited."""

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("lifecycle")


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    for statement in SCHEMA_1.split(";;"):
        db.execute(statement)


@MIGRATIONS()
def m002_deliveries(db: Database) -> None:
    db.execute(
        "CREATE TABLE deliveries (hook TEXT NOT NULL, event_id INTEGER NOT NULL, state TEXT NOT NULL,"
        " attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, error TEXT NOT NULL DEFAULT '',"
        " PRIMARY KEY (hook, event_id)) WITHOUT ROWID"
    )


@MIGRATIONS()
def m003_sleep_and_images(db: Database) -> None:
    for statement in SCHEMA_SLEEP.split(";;"):
        db.execute(statement)


@MIGRATIONS()
def m004_gone_repositories(db: Database) -> None:
    """What has left a listing is remembered: if it comes back unchanged it is no news."""
    db.execute("ALTER TABLE known ADD COLUMN gone_at REAL")


@MIGRATIONS()
def m005_swaps(db: Database) -> None:
    """`aliases`: names that a deployment answers to besides its own, a JSON list: those of what it has replaced."""
    db.execute("ALTER TABLE deployments ADD COLUMN aliases TEXT NOT NULL DEFAULT '[]'")
    for statement in SCHEMA_SWAPS.split(";;"):
        db.execute(statement)


SCHEMA_SWAPS = """
CREATE TABLE swaps (
    id INTEGER PRIMARY KEY,
    successor TEXT NOT NULL REFERENCES deployments (id),
    elder TEXT NOT NULL REFERENCES deployments (id),
    state TEXT NOT NULL,
    since REAL NOT NULL,
    step INTEGER NOT NULL DEFAULT 0,
    steps TEXT NOT NULL,
    share REAL NOT NULL DEFAULT 0,
    by TEXT NOT NULL
);;
CREATE UNIQUE INDEX swaps_elder ON swaps (elder)
WHERE state IN ('COMING', 'CANARY', 'HALTED', 'TAKEN', 'RETURNING');;
CREATE UNIQUE INDEX swaps_successor ON swaps (successor)
WHERE state IN ('COMING', 'CANARY', 'HALTED', 'TAKEN', 'RETURNING');;
CREATE TRIGGER swaps_begin AFTER INSERT ON swaps BEGIN UPDATE routing SET generation = generation + 1; END;;
CREATE TRIGGER swaps_move AFTER UPDATE OF state, share ON swaps
WHEN old.state <> new.state OR old.share <> new.share
BEGIN UPDATE routing SET generation = generation + 1; END
"""


@MIGRATIONS()
def m006_busy_and_calm(db: Database) -> None:
    db.execute("ALTER TABLE deployments ADD COLUMN busy_since REAL")
    db.execute("ALTER TABLE deployments ADD COLUMN calm_since REAL")


SCHEMA_1 = """
CREATE TABLE releases (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('model', 'framework')),
    repo TEXT NOT NULL,
    revision TEXT NOT NULL,
    state TEXT NOT NULL,
    found_at REAL NOT NULL,
    published_at REAL,
    facts TEXT,
    plan TEXT,
    refusal TEXT,
    notes TEXT,
    wake_at REAL,
    UNIQUE (kind, repo, revision)
);;
CREATE TABLE deployments (
    id TEXT PRIMARY KEY,
    release_id INTEGER REFERENCES releases (id),
    model TEXT NOT NULL,
    revision TEXT NOT NULL,
    plan TEXT NOT NULL,
    state TEXT NOT NULL,
    since REAL NOT NULL,
    created_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    broke_in TEXT,
    reason TEXT NOT NULL DEFAULT '',
    next_step TEXT NOT NULL DEFAULT '',
    replaces TEXT REFERENCES deployments (id),
    weight REAL NOT NULL DEFAULT 1,
    progress TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    exam INTEGER NOT NULL DEFAULT 0,
    verdict TEXT
);;
CREATE INDEX deployments_live ON deployments (due_at) WHERE state <> 'RETIRED';;
CREATE TABLE servers (
    id INTEGER PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id),
    n INTEGER NOT NULL,
    state TEXT NOT NULL,
    since REAL NOT NULL,
    created_at REAL NOT NULL,
    url TEXT NOT NULL DEFAULT '',
    backend_model TEXT NOT NULL DEFAULT '',
    engine TEXT NOT NULL DEFAULT '',
    restarts INTEGER NOT NULL DEFAULT 0,
    started_at REAL,
    ended_at REAL,
    nodes TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (deployment_id, n)
);;
CREATE INDEX servers_live ON servers (deployment_id) WHERE state <> 'GONE';;
CREATE TABLE jobs (
    key TEXT PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id),
    purpose TEXT NOT NULL,
    server_id INTEGER REFERENCES servers (id),
    attempt INTEGER NOT NULL,
    script TEXT NOT NULL,
    handle TEXT,
    state TEXT NOT NULL,
    created_at REAL NOT NULL,
    submitted_at REAL,
    ended_at REAL,
    cancelled_at REAL
);;
CREATE INDEX jobs_live ON jobs (deployment_id) WHERE ended_at IS NULL;;
CREATE TABLE victims (
    id INTEGER PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id),
    server_id INTEGER REFERENCES servers (id),
    handle TEXT NOT NULL,
    name TEXT NOT NULL,
    user TEXT NOT NULL,
    gpus INTEGER NOT NULL,
    node_count INTEGER NOT NULL,
    ran_s REAL NOT NULL,
    restarts INTEGER NOT NULL,
    state TEXT NOT NULL,
    since REAL NOT NULL,
    UNIQUE (deployment_id, handle)
);;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    release_id INTEGER,
    deployment_id TEXT,
    server_id INTEGER,
    victim_id INTEGER,
    old TEXT NOT NULL DEFAULT '',
    new TEXT NOT NULL DEFAULT '',
    by TEXT NOT NULL,
    detail TEXT
);;
CREATE INDEX events_deployment ON events (deployment_id, id);;
CREATE INDEX events_release ON events (release_id, id);;
CREATE TABLE watches (
    source TEXT PRIMARY KEY,
    cursor TEXT,
    polled_at REAL,
    due_at REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT ''
);;
CREATE TABLE known (
    source TEXT NOT NULL,
    repo TEXT NOT NULL,
    revision TEXT NOT NULL,
    seen_at REAL NOT NULL,
    PRIMARY KEY (source, repo)
) WITHOUT ROWID;;
CREATE TABLE posts (
    key TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    ts TEXT,
    thread_ts TEXT,
    digest TEXT NOT NULL DEFAULT '',
    intended_at REAL NOT NULL,
    posted_at REAL,
    error TEXT NOT NULL DEFAULT '',
    due_at REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
);;
CREATE TABLE cursors (name TEXT PRIMARY KEY, value INTEGER NOT NULL);;
CREATE TABLE routing (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL);;
INSERT INTO routing VALUES (1, 1);;
CREATE TRIGGER servers_route AFTER UPDATE OF state, url ON servers WHEN old.state = 'UP' OR new.state = 'UP'
BEGIN UPDATE routing SET generation = generation + 1; END;;
CREATE TRIGGER deployments_route AFTER UPDATE OF state, weight ON deployments
WHEN old.state <> new.state OR old.weight <> new.weight
BEGIN UPDATE routing SET generation = generation + 1; END;;
CREATE VIEW routes AS
    SELECT s.id AS endpoint_id, s.url, s.backend_model, s.engine, d.id AS deployment_id, d.model, d.revision, d.weight,
           s.since AS up_since, d.since AS tag_since,
           CASE d.state WHEN 'PREVIEW' THEN 'preview' WHEN 'STABLE' THEN 'stable' ELSE 'candidate' END AS tag
    FROM servers s JOIN deployments d ON d.id = s.deployment_id
    WHERE s.state = 'UP' AND d.state IN ('LISTING', 'TESTING', 'HELD', 'PREVIEW', 'STABLE')
"""

SCHEMA_SLEEP = """
ALTER TABLE servers ADD COLUMN held_until REAL;;
ALTER TABLE deployments ADD COLUMN replicas INTEGER NOT NULL DEFAULT 1;;
ALTER TABLE deployments ADD COLUMN replicas_most INTEGER NOT NULL DEFAULT 1;;
ALTER TABLE deployments ADD COLUMN idle_s REAL;;
ALTER TABLE deployments ADD COLUMN awake_hours TEXT NOT NULL DEFAULT '';;
ALTER TABLE deployments ADD COLUMN asleep_since REAL;;
ALTER TABLE deployments ADD COLUMN awake_since REAL;;
ALTER TABLE deployments ADD COLUMN load_s REAL;;
CREATE TABLE images (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    since REAL NOT NULL,
    created_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    script TEXT NOT NULL DEFAULT '',
    handle TEXT,
    digest TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    next_step TEXT NOT NULL DEFAULT ''
);;
CREATE TRIGGER deployments_sleep AFTER UPDATE OF asleep_since, awake_since ON deployments
WHEN old.asleep_since IS NOT new.asleep_since OR old.awake_since IS NOT new.awake_since
BEGIN UPDATE routing SET generation = generation + 1; END;;
CREATE VIEW sleepers AS
    SELECT d.id AS deployment_id, d.model, d.revision, d.weight, d.since AS tag_since, d.asleep_since, d.awake_since,
           coalesce(d.load_s, json_extract(d.plan, '$.expected_load_s')) AS wake_s,
           CASE d.state WHEN 'PREVIEW' THEN 'preview' WHEN 'STABLE' THEN 'stable' ELSE 'candidate' END AS tag
    FROM deployments d
    WHERE d.state IN ('HELD', 'PREVIEW', 'STABLE') AND (d.asleep_since IS NOT NULL OR d.awake_since IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM servers s WHERE s.deployment_id = d.id AND s.state = 'UP')
"""
