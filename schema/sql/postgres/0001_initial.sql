-- The truth about jobs and the rollups of telemetry. Times are microseconds since 1970 in UTC; records are JSON as
-- codec/ writes it. The table of raw samples is made by native/ or timescale/.

CREATE TABLE jobs (
  id TEXT COLLATE "C" PRIMARY KEY,
  number BIGINT NOT NULL UNIQUE,
  "user" TEXT NOT NULL,
  name TEXT NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  priority BIGINT NOT NULL,
  submitted_at_us BIGINT NOT NULL,
  ended_at_us BIGINT,
  spec TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  body_sha256 TEXT NOT NULL
);
CREATE UNIQUE INDEX jobs_idempotency_key ON jobs ("user", idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX jobs_state ON jobs (state, id);
CREATE INDEX jobs_user ON jobs ("user", id);
CREATE INDEX jobs_ended ON jobs ((coalesce(ended_at_us, submitted_at_us)));

CREATE TABLE attempts (
  job_id TEXT COLLATE "C" NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
  n BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  node TEXT NOT NULL,
  state TEXT NOT NULL,
  assigned_at_us BIGINT NOT NULL,
  started_at_us BIGINT,
  ended_at_us BIGINT,
  record TEXT NOT NULL,
  PRIMARY KEY (job_id, n)
);

CREATE TABLE gpu_alloc (
  gpu_uuid TEXT COLLATE "C" NOT NULL,
  slot BIGINT NOT NULL CHECK (slot >= 0),
  job_id TEXT COLLATE "C" NOT NULL,
  n BIGINT NOT NULL,
  memory_mb BIGINT NOT NULL,
  PRIMARY KEY (gpu_uuid, slot)
);
CREATE INDEX gpu_alloc_attempt ON gpu_alloc (job_id, n);

CREATE TABLE outbox (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id TEXT COLLATE "C" NOT NULL,
  n BIGINT NOT NULL,
  kind TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL,
  UNIQUE (job_id, n, kind)
);

CREATE TABLE job_events (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id TEXT COLLATE "C" NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
  time_us BIGINT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  attempt BIGINT NOT NULL
);
CREATE INDEX job_events_job ON job_events (job_id, seq);

CREATE TABLE placements (
  job_id TEXT COLLATE "C" NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
  attempt BIGINT NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (job_id, attempt)
);

CREATE TABLE alerts (
  id TEXT COLLATE "C" PRIMARY KEY,
  severity TEXT NOT NULL,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  detail TEXT NOT NULL,
  node TEXT NOT NULL,
  gpu_uuid TEXT COLLATE "C" NOT NULL,
  gpu_id TEXT NOT NULL,
  job_id TEXT COLLATE "C",
  since_us BIGINT NOT NULL,
  cleared_at_us BIGINT,
  value DOUBLE PRECISION,
  threshold DOUBLE PRECISION,
  unit TEXT NOT NULL,
  acknowledged BIGINT NOT NULL
);
CREATE INDEX alerts_open ON alerts (since_us) WHERE cleared_at_us IS NULL;

CREATE TABLE settings (
  key TEXT COLLATE "C" PRIMARY KEY,
  value TEXT NOT NULL
);

-- One row: the highest epoch ever handed out.
CREATE TABLE epochs (
  only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
  last_epoch BIGINT NOT NULL
);
INSERT INTO epochs VALUES (1, 0);

-- Slot 0 is the whole GPU: it excludes every other slot. The lock makes two transactions wait for each other.
CREATE FUNCTION aether_check_gpu_alloc() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(NEW.gpu_uuid, 0));
  IF EXISTS (SELECT 1 FROM gpu_alloc WHERE gpu_uuid = NEW.gpu_uuid AND (slot = 0 OR NEW.slot = 0)) THEN
    RAISE EXCEPTION 'the GPU % is allocated', NEW.gpu_uuid USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NEW;
END
$body$;
CREATE TRIGGER gpu_alloc_exclusive BEFORE INSERT ON gpu_alloc
FOR EACH ROW EXECUTE FUNCTION aether_check_gpu_alloc();

-- One row: raised by each orchestrator that takes the writer lock.
CREATE TABLE leader (
  only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
  leader_epoch BIGINT NOT NULL
);
INSERT INTO leader VALUES (1, 0);

CREATE TABLE gpus (
  gpu_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  gpu_uuid TEXT COLLATE "C" NOT NULL UNIQUE,
  node TEXT COLLATE "C" NOT NULL,
  gpu_index BIGINT NOT NULL,
  gpu_name TEXT NOT NULL
);

-- Per metric: mean, min, max and number of values of a minute (an hour). Left out where they say nothing new:
-- min and max are NULL when every value was equal to the mean, count is NULL when it equals sample_count.
CREATE TABLE rollup_1m (
  gpu_id BIGINT NOT NULL,
  time_us BIGINT NOT NULL,
  sample_count BIGINT NOT NULL,
  temperature_c_mean DOUBLE PRECISION, temperature_c_min DOUBLE PRECISION, temperature_c_max DOUBLE PRECISION, temperature_c_count BIGINT,
  temperature_mem_c_mean DOUBLE PRECISION, temperature_mem_c_min DOUBLE PRECISION, temperature_mem_c_max DOUBLE PRECISION, temperature_mem_c_count BIGINT,
  utilization_gpu_mean DOUBLE PRECISION, utilization_gpu_min DOUBLE PRECISION, utilization_gpu_max DOUBLE PRECISION, utilization_gpu_count BIGINT,
  utilization_memory_controller_mean DOUBLE PRECISION, utilization_memory_controller_min DOUBLE PRECISION, utilization_memory_controller_max DOUBLE PRECISION, utilization_memory_controller_count BIGINT,
  utilization_encoder_pct_mean DOUBLE PRECISION, utilization_encoder_pct_min DOUBLE PRECISION, utilization_encoder_pct_max DOUBLE PRECISION, utilization_encoder_pct_count BIGINT,
  utilization_decoder_pct_mean DOUBLE PRECISION, utilization_decoder_pct_min DOUBLE PRECISION, utilization_decoder_pct_max DOUBLE PRECISION, utilization_decoder_pct_count BIGINT,
  memory_used_mb_mean DOUBLE PRECISION, memory_used_mb_min DOUBLE PRECISION, memory_used_mb_max DOUBLE PRECISION, memory_used_mb_count BIGINT,
  memory_total_mb_mean DOUBLE PRECISION, memory_total_mb_min DOUBLE PRECISION, memory_total_mb_max DOUBLE PRECISION, memory_total_mb_count BIGINT,
  memory_reserved_mb_mean DOUBLE PRECISION, memory_reserved_mb_min DOUBLE PRECISION, memory_reserved_mb_max DOUBLE PRECISION, memory_reserved_mb_count BIGINT,
  power_draw_w_mean DOUBLE PRECISION, power_draw_w_min DOUBLE PRECISION, power_draw_w_max DOUBLE PRECISION, power_draw_w_count BIGINT,
  power_limit_w_mean DOUBLE PRECISION, power_limit_w_min DOUBLE PRECISION, power_limit_w_max DOUBLE PRECISION, power_limit_w_count BIGINT,
  energy_total_mj_mean DOUBLE PRECISION, energy_total_mj_min DOUBLE PRECISION, energy_total_mj_max DOUBLE PRECISION, energy_total_mj_count BIGINT,
  clock_gpu_mhz_mean DOUBLE PRECISION, clock_gpu_mhz_min DOUBLE PRECISION, clock_gpu_mhz_max DOUBLE PRECISION, clock_gpu_mhz_count BIGINT,
  clock_sm_mhz_mean DOUBLE PRECISION, clock_sm_mhz_min DOUBLE PRECISION, clock_sm_mhz_max DOUBLE PRECISION, clock_sm_mhz_count BIGINT,
  clock_mem_mhz_mean DOUBLE PRECISION, clock_mem_mhz_min DOUBLE PRECISION, clock_mem_mhz_max DOUBLE PRECISION, clock_mem_mhz_count BIGINT,
  fan_speed_pct_mean DOUBLE PRECISION, fan_speed_pct_min DOUBLE PRECISION, fan_speed_pct_max DOUBLE PRECISION, fan_speed_pct_count BIGINT,
  throttling_reasons_mask_mean DOUBLE PRECISION, throttling_reasons_mask_min DOUBLE PRECISION, throttling_reasons_mask_max DOUBLE PRECISION, throttling_reasons_mask_count BIGINT,
  ecc_sbe_volatile_total_mean DOUBLE PRECISION, ecc_sbe_volatile_total_min DOUBLE PRECISION, ecc_sbe_volatile_total_max DOUBLE PRECISION, ecc_sbe_volatile_total_count BIGINT,
  ecc_dbe_volatile_total_mean DOUBLE PRECISION, ecc_dbe_volatile_total_min DOUBLE PRECISION, ecc_dbe_volatile_total_max DOUBLE PRECISION, ecc_dbe_volatile_total_count BIGINT,
  pcie_replay_total_mean DOUBLE PRECISION, pcie_replay_total_min DOUBLE PRECISION, pcie_replay_total_max DOUBLE PRECISION, pcie_replay_total_count BIGINT,
  xid_last_mean DOUBLE PRECISION, xid_last_min DOUBLE PRECISION, xid_last_max DOUBLE PRECISION, xid_last_count BIGINT,
  PRIMARY KEY (gpu_id, time_us)
);

CREATE TABLE rollup_1h (
  gpu_id BIGINT NOT NULL,
  time_us BIGINT NOT NULL,
  sample_count BIGINT NOT NULL,
  temperature_c_mean DOUBLE PRECISION, temperature_c_min DOUBLE PRECISION, temperature_c_max DOUBLE PRECISION, temperature_c_count BIGINT,
  temperature_mem_c_mean DOUBLE PRECISION, temperature_mem_c_min DOUBLE PRECISION, temperature_mem_c_max DOUBLE PRECISION, temperature_mem_c_count BIGINT,
  utilization_gpu_mean DOUBLE PRECISION, utilization_gpu_min DOUBLE PRECISION, utilization_gpu_max DOUBLE PRECISION, utilization_gpu_count BIGINT,
  utilization_memory_controller_mean DOUBLE PRECISION, utilization_memory_controller_min DOUBLE PRECISION, utilization_memory_controller_max DOUBLE PRECISION, utilization_memory_controller_count BIGINT,
  utilization_encoder_pct_mean DOUBLE PRECISION, utilization_encoder_pct_min DOUBLE PRECISION, utilization_encoder_pct_max DOUBLE PRECISION, utilization_encoder_pct_count BIGINT,
  utilization_decoder_pct_mean DOUBLE PRECISION, utilization_decoder_pct_min DOUBLE PRECISION, utilization_decoder_pct_max DOUBLE PRECISION, utilization_decoder_pct_count BIGINT,
  memory_used_mb_mean DOUBLE PRECISION, memory_used_mb_min DOUBLE PRECISION, memory_used_mb_max DOUBLE PRECISION, memory_used_mb_count BIGINT,
  memory_total_mb_mean DOUBLE PRECISION, memory_total_mb_min DOUBLE PRECISION, memory_total_mb_max DOUBLE PRECISION, memory_total_mb_count BIGINT,
  memory_reserved_mb_mean DOUBLE PRECISION, memory_reserved_mb_min DOUBLE PRECISION, memory_reserved_mb_max DOUBLE PRECISION, memory_reserved_mb_count BIGINT,
  power_draw_w_mean DOUBLE PRECISION, power_draw_w_min DOUBLE PRECISION, power_draw_w_max DOUBLE PRECISION, power_draw_w_count BIGINT,
  power_limit_w_mean DOUBLE PRECISION, power_limit_w_min DOUBLE PRECISION, power_limit_w_max DOUBLE PRECISION, power_limit_w_count BIGINT,
  energy_total_mj_mean DOUBLE PRECISION, energy_total_mj_min DOUBLE PRECISION, energy_total_mj_max DOUBLE PRECISION, energy_total_mj_count BIGINT,
  clock_gpu_mhz_mean DOUBLE PRECISION, clock_gpu_mhz_min DOUBLE PRECISION, clock_gpu_mhz_max DOUBLE PRECISION, clock_gpu_mhz_count BIGINT,
  clock_sm_mhz_mean DOUBLE PRECISION, clock_sm_mhz_min DOUBLE PRECISION, clock_sm_mhz_max DOUBLE PRECISION, clock_sm_mhz_count BIGINT,
  clock_mem_mhz_mean DOUBLE PRECISION, clock_mem_mhz_min DOUBLE PRECISION, clock_mem_mhz_max DOUBLE PRECISION, clock_mem_mhz_count BIGINT,
  fan_speed_pct_mean DOUBLE PRECISION, fan_speed_pct_min DOUBLE PRECISION, fan_speed_pct_max DOUBLE PRECISION, fan_speed_pct_count BIGINT,
  throttling_reasons_mask_mean DOUBLE PRECISION, throttling_reasons_mask_min DOUBLE PRECISION, throttling_reasons_mask_max DOUBLE PRECISION, throttling_reasons_mask_count BIGINT,
  ecc_sbe_volatile_total_mean DOUBLE PRECISION, ecc_sbe_volatile_total_min DOUBLE PRECISION, ecc_sbe_volatile_total_max DOUBLE PRECISION, ecc_sbe_volatile_total_count BIGINT,
  ecc_dbe_volatile_total_mean DOUBLE PRECISION, ecc_dbe_volatile_total_min DOUBLE PRECISION, ecc_dbe_volatile_total_max DOUBLE PRECISION, ecc_dbe_volatile_total_count BIGINT,
  pcie_replay_total_mean DOUBLE PRECISION, pcie_replay_total_min DOUBLE PRECISION, pcie_replay_total_max DOUBLE PRECISION, pcie_replay_total_count BIGINT,
  xid_last_mean DOUBLE PRECISION, xid_last_min DOUBLE PRECISION, xid_last_max DOUBLE PRECISION, xid_last_count BIGINT,
  PRIMARY KEY (gpu_id, time_us)
);

-- Minutes that got samples after they had been rolled up.
CREATE TABLE rollup_late (
  gpu_id BIGINT NOT NULL,
  time_us BIGINT NOT NULL,
  PRIMARY KEY (gpu_id, time_us)
);

-- rolled_1m, rolled_1h: rollups are complete before this time. raw_from, minutes_from: removed before this time.
CREATE TABLE telemetry_state (
  name TEXT PRIMARY KEY,
  value BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO telemetry_state VALUES ('rolled_1m', 0), ('rolled_1h', 0), ('raw_from', 0), ('minutes_from', 0), ('sample_count', 0);
