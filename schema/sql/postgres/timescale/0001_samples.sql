-- Raw samples in a hypertable of TimescaleDB with chunks of one day. Compression is switched on by the program
-- where the server's licence offers it.
CREATE TABLE samples (
  gpu_id BIGINT NOT NULL,
  time_us BIGINT NOT NULL,
  sample_seq BIGINT NOT NULL,
  temperature_c DOUBLE PRECISION,
  temperature_mem_c DOUBLE PRECISION,
  utilization_gpu DOUBLE PRECISION,
  utilization_memory_controller DOUBLE PRECISION,
  utilization_encoder_pct DOUBLE PRECISION,
  utilization_decoder_pct DOUBLE PRECISION,
  memory_used_mb BIGINT,
  memory_total_mb BIGINT,
  memory_reserved_mb BIGINT,
  power_draw_w DOUBLE PRECISION,
  power_limit_w DOUBLE PRECISION,
  energy_total_mj BIGINT,
  clock_gpu_mhz DOUBLE PRECISION,
  clock_sm_mhz DOUBLE PRECISION,
  clock_mem_mhz DOUBLE PRECISION,
  fan_speed_pct DOUBLE PRECISION,
  throttling_reasons_mask BIGINT,
  ecc_sbe_volatile_total BIGINT,
  ecc_dbe_volatile_total BIGINT,
  pcie_replay_total BIGINT,
  xid_last BIGINT,
  performance_state TEXT,
  throttling_reasons TEXT,
  xid_last_time_us BIGINT,
  PRIMARY KEY (gpu_id, time_us)
);
SELECT create_hypertable('samples', 'time_us', chunk_time_interval => 86400000000);
