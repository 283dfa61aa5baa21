-- The truth about jobs. Times are microseconds since 1970 in UTC; records are JSON as codec/ writes it.

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  number INTEGER NOT NULL UNIQUE,
  "user" TEXT NOT NULL,
  name TEXT NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  priority INTEGER NOT NULL,
  submitted_at_us INTEGER NOT NULL,
  ended_at_us INTEGER,
  spec TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  body_sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_idempotency_key ON jobs ("user", idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX jobs_state ON jobs (state, id);
CREATE INDEX jobs_user ON jobs ("user", id);
CREATE INDEX jobs_ended ON jobs (coalesce(ended_at_us, submitted_at_us));

CREATE TABLE attempts (
  job_id TEXT NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
  n INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  node TEXT NOT NULL,
  state TEXT NOT NULL,
  assigned_at_us INTEGER NOT NULL,
  started_at_us INTEGER,
  ended_at_us INTEGER,
  record TEXT NOT NULL,
  PRIMARY KEY (job_id, n)
) WITHOUT ROWID;

CREATE TABLE gpu_alloc (
  gpu_uuid TEXT NOT NULL,
  slot INTEGER NOT NULL CHECK (slot >= 0),
  job_id TEXT NOT NULL,
  n INTEGER NOT NULL,
  memory_mb INTEGER NOT NULL,
  PRIMARY KEY (gpu_uuid, slot)
) WITHOUT ROWID;
CREATE INDEX gpu_alloc_attempt ON gpu_alloc (job_id, n);
-- Slot 0 is the whole GPU: it excludes every other slot.
CREATE TRIGGER gpu_alloc_exclusive BEFORE INSERT ON gpu_alloc
WHEN EXISTS (SELECT 1 FROM gpu_alloc WHERE gpu_uuid = NEW.gpu_uuid AND (slot = 0 OR NEW.slot = 0))
BEGIN
  SELECT RAISE(ABORT, 'the GPU is allocated');
END;

CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL,
  n INTEGER NOT NULL,
  kind TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL,
  UNIQUE (job_id, n, kind)
);

CREATE TABLE job_events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
  time_us INTEGER NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  attempt INTEGER NOT NULL
);
CREATE INDEX job_events_job ON job_events (job_id, seq);

CREATE TABLE placements (
  job_id TEXT NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
  attempt INTEGER NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (job_id, attempt)
);

CREATE TABLE alerts (
  id TEXT PRIMARY KEY,
  severity TEXT NOT NULL,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  detail TEXT NOT NULL,
  node TEXT NOT NULL,
  gpu_uuid TEXT NOT NULL,
  gpu_id TEXT NOT NULL,
  job_id TEXT,
  since_us INTEGER NOT NULL,
  cleared_at_us INTEGER,
  value REAL,
  threshold REAL,
  unit TEXT NOT NULL,
  acknowledged INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX alerts_open ON alerts (since_us) WHERE cleared_at_us IS NULL;

CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- One row: the highest epoch ever handed out.
CREATE TABLE epochs (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  last_epoch INTEGER NOT NULL
);
INSERT INTO epochs VALUES (1, 0);
