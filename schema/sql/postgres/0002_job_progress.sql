-- Tasks of arrays, and what a job has been through besides its attempts.
ALTER TABLE jobs ADD COLUMN array_parent TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN array_index BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN progress TEXT NOT NULL DEFAULT '{}';
CREATE INDEX jobs_array ON jobs (array_parent, id) WHERE array_parent <> '';
