-- How a controlled pack stands by its own newest word, one row a device; `body` as people read it.
CREATE TABLE pack_status (
    device VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    unix_time_second DOUBLE NOT NULL,
    mode VARCHAR NOT NULL,
    body VARCHAR NOT NULL
);

-- Each change of mode that a device has told of.
CREATE TABLE pack_move (
    device VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    unix_time_second DOUBLE NOT NULL,
    source VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    reason VARCHAR NOT NULL
);
