-- One row: raised by each orchestrator that opens the database, and looked at by every transaction that writes.
CREATE TABLE leader (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  leader_epoch INTEGER NOT NULL,
  last_commit INTEGER NOT NULL
);
INSERT INTO leader VALUES (1, 0, 0);
