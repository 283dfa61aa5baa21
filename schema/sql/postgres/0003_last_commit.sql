-- The number of the leader's last commit, written in the same transaction: a commit whose answer was lost is recognised.
ALTER TABLE leader ADD COLUMN last_commit BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leader SET (fillfactor = 50);
