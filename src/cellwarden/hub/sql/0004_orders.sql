-- Orders to devices, as they were signed. `hub` and operators count each for themselves: one
-- sequence of an issuer to a device stands once. `body` is the kind's content as people read it.
CREATE TABLE ordered (
    device VARCHAR NOT NULL,
    issuer VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    body VARCHAR NOT NULL,
    issued_unix_time_second DOUBLE NOT NULL,
    starts_unix_time_second DOUBLE NOT NULL,
    expires_unix_time_second DOUBLE NOT NULL,
    digest VARCHAR NOT NULL,
    encoded BLOB NOT NULL,
    certificate BLOB NOT NULL
);

-- What became of orders: `delivered` is what a hub saw, everything else a device's own signed word.
-- A device also tells of orders that no hub has given; their issuer may be unknown.
CREATE TABLE order_event (
    device VARCHAR NOT NULL,
    issuer VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    digest VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    count BIGINT NOT NULL,
    unix_time_second DOUBLE NOT NULL
);
