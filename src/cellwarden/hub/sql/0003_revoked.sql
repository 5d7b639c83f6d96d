-- Certificates that a hub has taken back before the authority lists them; `serial` is hexadecimal.
CREATE TABLE revoked (
    serial VARCHAR NOT NULL,
    device VARCHAR NOT NULL,
    unix_time_second DOUBLE NOT NULL
);
