-- Tasks of arrays, and what a job has been through besides its attempts.
ALTER TABLE jobs ADD COLUMN array_parent TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN array_index INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN progress TEXT NOT NULL DEFAULT '{}';
CREATE INDEX jobs_array ON jobs (array_parent, id) WHERE array_parent <> '';
