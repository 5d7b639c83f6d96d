-- What workers that do not write the ledger hand to the one that does. `bodies` is a CBOR list of
-- messages as the device sent them: content stays sealed. A row waits until it is answered.
CREATE TABLE handed (
    hand_id VARCHAR NOT NULL,
    device VARCHAR NOT NULL,
    certificate BLOB NOT NULL,
    bodies BLOB NOT NULL,
    unix_time_second DOUBLE NOT NULL
);

-- The writer's replies, encoded as devices get them; swept together with what they answer.
CREATE TABLE answered (
    hand_id VARCHAR NOT NULL,
    reply BLOB NOT NULL,
    unix_time_second DOUBLE NOT NULL
);
