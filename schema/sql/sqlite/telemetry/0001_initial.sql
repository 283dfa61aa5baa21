-- The history of telemetry. Times are microseconds since 1970 in UTC. NULL = the device gave no value.

CREATE TABLE gpus (
  gpu_id INTEGER PRIMARY KEY,
  gpu_uuid TEXT NOT NULL UNIQUE,
  node TEXT NOT NULL,
  gpu_index INTEGER NOT NULL,
  gpu_name TEXT NOT NULL
);

-- bucket = time_us / 5 s. Why the key begins with it: docs/decisions/0006-sample-layout.md.
CREATE TABLE samples (
  bucket INTEGER NOT NULL,
  gpu_id INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  sample_seq INTEGER NOT NULL,
  temperature_c REAL,
  temperature_mem_c REAL,
  utilization_gpu REAL,
  utilization_memory_controller REAL,
  utilization_encoder_pct REAL,
  utilization_decoder_pct REAL,
  memory_used_mb INTEGER,
  memory_total_mb INTEGER,
  memory_reserved_mb INTEGER,
  power_draw_w REAL,
  power_limit_w REAL,
  energy_total_mj INTEGER,
  clock_gpu_mhz REAL,
  clock_sm_mhz REAL,
  clock_mem_mhz REAL,
  fan_speed_pct REAL,
  throttling_reasons_mask INTEGER,
  ecc_sbe_volatile_total INTEGER,
  ecc_dbe_volatile_total INTEGER,
  pcie_replay_total INTEGER,
  xid_last INTEGER,
  performance_state TEXT,
  throttling_reasons TEXT,
  xid_last_time_us INTEGER,
  PRIMARY KEY (bucket, gpu_id, time_us)
) WITHOUT ROWID;

-- Per metric: mean, min, max and number of values of a minute (an hour). Left out where they say nothing new:
-- min and max are NULL when every value was equal to the mean, count is NULL when it equals sample_count.
CREATE TABLE rollup_1m (
  gpu_id INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  sample_count INTEGER NOT NULL,
  temperature_c_mean REAL, temperature_c_min REAL, temperature_c_max REAL, temperature_c_count INTEGER,
  temperature_mem_c_mean REAL, temperature_mem_c_min REAL, temperature_mem_c_max REAL, temperature_mem_c_count INTEGER,
  utilization_gpu_mean REAL, utilization_gpu_min REAL, utilization_gpu_max REAL, utilization_gpu_count INTEGER,
  utilization_memory_controller_mean REAL, utilization_memory_controller_min REAL, utilization_memory_controller_max REAL, utilization_memory_controller_count INTEGER,
  utilization_encoder_pct_mean REAL, utilization_encoder_pct_min REAL, utilization_encoder_pct_max REAL, utilization_encoder_pct_count INTEGER,
  utilization_decoder_pct_mean REAL, utilization_decoder_pct_min REAL, utilization_decoder_pct_max REAL, utilization_decoder_pct_count INTEGER,
  memory_used_mb_mean REAL, memory_used_mb_min REAL, memory_used_mb_max REAL, memory_used_mb_count INTEGER,
  memory_total_mb_mean REAL, memory_total_mb_min REAL, memory_total_mb_max REAL, memory_total_mb_count INTEGER,
  memory_reserved_mb_mean REAL, memory_reserved_mb_min REAL, memory_reserved_mb_max REAL, memory_reserved_mb_count INTEGER,
  power_draw_w_mean REAL, power_draw_w_min REAL, power_draw_w_max REAL, power_draw_w_count INTEGER,
  power_limit_w_mean REAL, power_limit_w_min REAL, power_limit_w_max REAL, power_limit_w_count INTEGER,
  energy_total_mj_mean REAL, energy_total_mj_min REAL, energy_total_mj_max REAL, energy_total_mj_count INTEGER,
  clock_gpu_mhz_mean REAL, clock_gpu_mhz_min REAL, clock_gpu_mhz_max REAL, clock_gpu_mhz_count INTEGER,
  clock_sm_mhz_mean REAL, clock_sm_mhz_min REAL, clock_sm_mhz_max REAL, clock_sm_mhz_count INTEGER,
  clock_mem_mhz_mean REAL, clock_mem_mhz_min REAL, clock_mem_mhz_max REAL, clock_mem_mhz_count INTEGER,
  fan_speed_pct_mean REAL, fan_speed_pct_min REAL, fan_speed_pct_max REAL, fan_speed_pct_count INTEGER,
  throttling_reasons_mask_mean REAL, throttling_reasons_mask_min REAL, throttling_reasons_mask_max REAL, throttling_reasons_mask_count INTEGER,
  ecc_sbe_volatile_total_mean REAL, ecc_sbe_volatile_total_min REAL, ecc_sbe_volatile_total_max REAL, ecc_sbe_volatile_total_count INTEGER,
  ecc_dbe_volatile_total_mean REAL, ecc_dbe_volatile_total_min REAL, ecc_dbe_volatile_total_max REAL, ecc_dbe_volatile_total_count INTEGER,
  pcie_replay_total_mean REAL, pcie_replay_total_min REAL, pcie_replay_total_max REAL, pcie_replay_total_count INTEGER,
  xid_last_mean REAL, xid_last_min REAL, xid_last_max REAL, xid_last_count INTEGER,
  PRIMARY KEY (gpu_id, time_us)
) WITHOUT ROWID;

CREATE TABLE rollup_1h (
  gpu_id INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  sample_count INTEGER NOT NULL,
  temperature_c_mean REAL, temperature_c_min REAL, temperature_c_max REAL, temperature_c_count INTEGER,
  temperature_mem_c_mean REAL, temperature_mem_c_min REAL, temperature_mem_c_max REAL, temperature_mem_c_count INTEGER,
  utilization_gpu_mean REAL, utilization_gpu_min REAL, utilization_gpu_max REAL, utilization_gpu_count INTEGER,
  utilization_memory_controller_mean REAL, utilization_memory_controller_min REAL, utilization_memory_controller_max REAL, utilization_memory_controller_count INTEGER,
  utilization_encoder_pct_mean REAL, utilization_encoder_pct_min REAL, utilization_encoder_pct_max REAL, utilization_encoder_pct_count INTEGER,
  utilization_decoder_pct_mean REAL, utilization_decoder_pct_min REAL, utilization_decoder_pct_max REAL, utilization_decoder_pct_count INTEGER,
  memory_used_mb_mean REAL, memory_used_mb_min REAL, memory_used_mb_max REAL, memory_used_mb_count INTEGER,
  memory_total_mb_mean REAL, memory_total_mb_min REAL, memory_total_mb_max REAL, memory_total_mb_count INTEGER,
  memory_reserved_mb_mean REAL, memory_reserved_mb_min REAL, memory_reserved_mb_max REAL, memory_reserved_mb_count INTEGER,
  power_draw_w_mean REAL, power_draw_w_min REAL, power_draw_w_max REAL, power_draw_w_count INTEGER,
  power_limit_w_mean REAL, power_limit_w_min REAL, power_limit_w_max REAL, power_limit_w_count INTEGER,
  energy_total_mj_mean REAL, energy_total_mj_min REAL, energy_total_mj_max REAL, energy_total_mj_count INTEGER,
  clock_gpu_mhz_mean REAL, clock_gpu_mhz_min REAL, clock_gpu_mhz_max REAL, clock_gpu_mhz_count INTEGER,
  clock_sm_mhz_mean REAL, clock_sm_mhz_min REAL, clock_sm_mhz_max REAL, clock_sm_mhz_count INTEGER,
  clock_mem_mhz_mean REAL, clock_mem_mhz_min REAL, clock_mem_mhz_max REAL, clock_mem_mhz_count INTEGER,
  fan_speed_pct_mean REAL, fan_speed_pct_min REAL, fan_speed_pct_max REAL, fan_speed_pct_count INTEGER,
  throttling_reasons_mask_mean REAL, throttling_reasons_mask_min REAL, throttling_reasons_mask_max REAL, throttling_reasons_mask_count INTEGER,
  ecc_sbe_volatile_total_mean REAL, ecc_sbe_volatile_total_min REAL, ecc_sbe_volatile_total_max REAL, ecc_sbe_volatile_total_count INTEGER,
  ecc_dbe_volatile_total_mean REAL, ecc_dbe_volatile_total_min REAL, ecc_dbe_volatile_total_max REAL, ecc_dbe_volatile_total_count INTEGER,
  pcie_replay_total_mean REAL, pcie_replay_total_min REAL, pcie_replay_total_max REAL, pcie_replay_total_count INTEGER,
  xid_last_mean REAL, xid_last_min REAL, xid_last_max REAL, xid_last_count INTEGER,
  PRIMARY KEY (gpu_id, time_us)
) WITHOUT ROWID;

-- Minutes that got samples after they had been rolled up.
CREATE TABLE rollup_late (
  gpu_id INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  PRIMARY KEY (gpu_id, time_us)
) WITHOUT ROWID;

-- rolled_1m, rolled_1h: rollups are complete before this time. raw_from, minutes_from: removed before this time.
CREATE TABLE telemetry_state (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO telemetry_state VALUES ('rolled_1m', 0), ('rolled_1h', 0), ('raw_from', 0), ('minutes_from', 0), ('sample_count', 0);
