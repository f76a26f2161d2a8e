"""The schema of gateway.db, append-only: a migration that has landed is never edited."""

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("gateway")


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    for statement in SCHEMA_1.split(";;"):
        db.execute(statement)


@MIGRATIONS()
def m002_busy_workers(db: Database) -> None:
    db.execute("ALTER TABLE workers ADD COLUMN busy INTEGER NOT NULL DEFAULT 0")


@MIGRATIONS()
def m003_parts_of_tokens(db: Database) -> None:
    db.execute("ALTER TABLE usage ADD COLUMN cached_tokens INTEGER")
    db.execute("ALTER TABLE usage ADD COLUMN reasoning_tokens INTEGER")
    db.execute("ALTER TABLE usage ADD COLUMN kind TEXT NOT NULL DEFAULT ''")


@MIGRATIONS()
def m004_sums(db: Database) -> None:
    for statement in SUMS_OF_USAGE.split(";;"):
        db.execute(statement)


@MIGRATIONS()
def m005_attempts(db: Database) -> None:
    """Attempts that gave nothing: a caller who was answered by another server never hears of them."""
    db.execute(
        "CREATE TABLE failed_attempts (at REAL NOT NULL, request_id TEXT NOT NULL, deployment_id TEXT NOT NULL,"
        " endpoint_id INTEGER NOT NULL, reason TEXT NOT NULL)"
    )
    db.execute("CREATE INDEX failed_attempts_at ON failed_attempts (at)")


@MIGRATIONS()
def m006_scopes_and_teams(db: Database) -> None:
    for statement in SCOPES_AND_TEAMS.split(";;"):
        db.execute(statement)


@MIGRATIONS()
def m007_demand(db: Database) -> None:
    """What each worker has at hand, and when each deployment was asked for and wished awake."""
    db.execute(
        "CREATE TABLE load (worker TEXT NOT NULL, deployment_id TEXT NOT NULL, inflight INTEGER NOT NULL,"
        " waiting INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (worker, deployment_id)) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE wakes (deployment_id TEXT PRIMARY KEY, last_request_at REAL, wanted_at REAL) WITHOUT ROWID"
    )


@MIGRATIONS()
def m008_who_has_used_what(db: Database) -> None:
    """For budgets: the sums of one key, team or provider since the month began."""
    for column in ("key_id", "team", "provider"):
        db.execute(f"CREATE INDEX usage_hours_{column} ON usage_hours ({column}, hour)")


@MIGRATIONS()
def m009_what_a_model_has_cost(db: Database) -> None:
    db.execute("CREATE INDEX usage_hours_model ON usage_hours (model, hour)")


@MIGRATIONS()
def m010_shared(db: Database) -> None:
    """How far this host's rows are in the store that it shares with others, and the routing as all hosts read it."""
    db.execute(
        "CREATE TABLE shipped (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL, joined INTEGER NOT NULL)"
    )
    db.execute("INSERT INTO shipped VALUES (1, 0, 0)")
    db.execute(
        "CREATE TABLE routing_copy (one INTEGER PRIMARY KEY CHECK (one = 1), digest TEXT NOT NULL, rows TEXT NOT NULL)"
    )


@MIGRATIONS()
def m011_refused(db: Database) -> None:
    """What limits refused has no row of its own: it is counted."""
    db.execute(
        "CREATE TABLE refused (whose TEXT NOT NULL, what TEXT NOT NULL, requests INTEGER NOT NULL,"
        " PRIMARY KEY (whose, what)) WITHOUT ROWID"
    )


@MIGRATIONS()
def m012_shares(db: Database) -> None:
    """Which host may use how much of a limit: written in the shared store only. Numbers, as the board has them."""
    for statement in SHARES.split(";;"):
        db.execute(statement)


SCHEMA_1 = """
CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    team TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL,
    created_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    expires_at REAL,
    revoked_at REAL
);;
CREATE TABLE key_changes (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL);;
INSERT INTO key_changes VALUES (1, 1);;
CREATE TRIGGER keys_added AFTER INSERT ON keys BEGIN UPDATE key_changes SET generation = generation + 1; END;;
CREATE TRIGGER keys_changed AFTER UPDATE ON keys BEGIN UPDATE key_changes SET generation = generation + 1; END;;
CREATE TRIGGER keys_gone AFTER DELETE ON keys BEGIN UPDATE key_changes SET generation = generation + 1; END;;
CREATE TABLE usage (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    request_id TEXT NOT NULL,
    key_id INTEGER NOT NULL REFERENCES keys (id),
    team TEXT NOT NULL,
    asked TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment_id TEXT,
    endpoint_id INTEGER,
    provider TEXT NOT NULL,
    stream INTEGER NOT NULL,
    status INTEGER NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    counted TEXT NOT NULL,
    ttft_s REAL,
    duration_s REAL NOT NULL,
    cost REAL,
    cost_estimated INTEGER NOT NULL
);;
CREATE INDEX usage_at ON usage (at);;
CREATE TABLE workers (
    worker TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID;;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    by TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
)
"""

SUMS_OF_USAGE = """
CREATE TABLE rolled (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL);;
INSERT INTO rolled VALUES (1, 0);;
CREATE TABLE usage_hours (
    hour INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    team TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,
    ttft_s REAL NOT NULL,
    ttft_count INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    failed INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (hour, key_id, team, model, deployment_id, provider)
) WITHOUT ROWID;;
CREATE TABLE usage_ever (
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    status INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,
    ttft_s REAL NOT NULL,
    ttft_count INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    ttft_le_0 INTEGER NOT NULL,
    ttft_le_1 INTEGER NOT NULL,
    ttft_le_2 INTEGER NOT NULL,
    ttft_le_3 INTEGER NOT NULL,
    ttft_le_4 INTEGER NOT NULL,
    ttft_le_5 INTEGER NOT NULL,
    ttft_le_6 INTEGER NOT NULL,
    ttft_le_7 INTEGER NOT NULL,
    ttft_le_8 INTEGER NOT NULL,
    ttft_le_9 INTEGER NOT NULL,
    ttft_le_10 INTEGER NOT NULL,
    duration_le_0 INTEGER NOT NULL,
    duration_le_1 INTEGER NOT NULL,
    duration_le_2 INTEGER NOT NULL,
    duration_le_3 INTEGER NOT NULL,
    duration_le_4 INTEGER NOT NULL,
    duration_le_5 INTEGER NOT NULL,
    duration_le_6 INTEGER NOT NULL,
    duration_le_7 INTEGER NOT NULL,
    duration_le_8 INTEGER NOT NULL,
    duration_le_9 INTEGER NOT NULL,
    duration_le_10 INTEGER NOT NULL,
    PRIMARY KEY (model, provider, status)
) WITHOUT ROWID
"""

SCOPES_AND_TEAMS = """
ALTER TABLE keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'user';;
ALTER TABLE keys ADD COLUMN models TEXT NOT NULL DEFAULT '[]';;
ALTER TABLE keys ADD COLUMN model_map TEXT NOT NULL DEFAULT '{}';;
ALTER TABLE keys ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;;
ALTER TABLE keys ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';;
ALTER TABLE keys ADD COLUMN previous_hash TEXT;;
ALTER TABLE keys ADD COLUMN previous_until REAL;;
ALTER TABLE keys ADD COLUMN rotated_at REAL;;
CREATE TABLE teams (
    name TEXT PRIMARY KEY,
    tags TEXT NOT NULL DEFAULT '[]',
    models TEXT NOT NULL DEFAULT '[]',
    limits TEXT NOT NULL DEFAULT '{}',
    created_at REAL NOT NULL,
    created_by TEXT NOT NULL
) WITHOUT ROWID;;
CREATE TRIGGER teams_added AFTER INSERT ON teams BEGIN UPDATE key_changes SET generation = generation + 1; END;;
CREATE TRIGGER teams_changed AFTER UPDATE ON teams BEGIN UPDATE key_changes SET generation = generation + 1; END;;
CREATE TRIGGER teams_gone AFTER DELETE ON teams BEGIN UPDATE key_changes SET generation = generation + 1; END;;
CREATE INDEX audit_subject ON audit (subject, id)
"""

SHARES = """
CREATE TABLE limit_hosts (
    host INTEGER NOT NULL,
    seen_at REAL NOT NULL,
    PRIMARY KEY (host)
);;
CREATE TABLE limit_shares (
    subject INTEGER NOT NULL,
    meter INTEGER NOT NULL,
    period INTEGER NOT NULL,
    host INTEGER NOT NULL,
    share INTEGER NOT NULL,
    used INTEGER NOT NULL,
    want INTEGER NOT NULL,
    PRIMARY KEY (subject, meter, period, host)
)
"""
