-- Raw samples of hours that are over: one block of columns per GPU and hour, see src/store/sample_block.h. A sample lies
-- either here or in `samples`, never in both. time_us is the start of the hour.
CREATE TABLE closed_hours (
  time_us INTEGER NOT NULL,
  gpu_id INTEGER NOT NULL,
  sample_count INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (time_us, gpu_id)
) WITHOUT ROWID;
