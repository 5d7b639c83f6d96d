-- One row a pack sample. NaN in a measured column says that the sensor gave no reading,
-- NULL that there is no such sensor.
-- leaf_index and frame_index give back the very order in which a batch was signed.
CREATE TABLE sample (
    device VARCHAR NOT NULL,
    leaf_index BIGINT NOT NULL,
    frame_index INTEGER NOT NULL,
    unix_time_second DOUBLE NOT NULL,
    voltage_volt FLOAT,
    current_ampere FLOAT,
    ambient_temperature_celsius FLOAT,
    humidity_fraction FLOAT,
    soc_fraction FLOAT,
    soc_std_fraction FLOAT,
    cell_voltage_volt FLOAT[],
    cell_temperature_celsius FLOAT[]
);

-- One row an entry of the ledger, in its order: batches, enrolments, verdicts.
CREATE TABLE leaf (
    leaf_index BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    device VARCHAR NOT NULL,
    hash BLOB NOT NULL,
    entry BLOB NOT NULL
);

CREATE TABLE batch (
    leaf_index BIGINT NOT NULL,
    device VARCHAR NOT NULL,
    boot BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    link BLOB NOT NULL,
    salt BLOB NOT NULL,
    notes BLOB NOT NULL,
    first_unix_time_second DOUBLE NOT NULL,
    last_unix_time_second DOUBLE NOT NULL,
    frame_count BIGINT NOT NULL,
    value_count BIGINT NOT NULL,
    received_unix_time_second DOUBLE NOT NULL
);

-- Full tiles of the Merkle tree; the last row of checkpoint is the head.
CREATE TABLE tile (level BIGINT NOT NULL, index BIGINT NOT NULL, hashes BLOB NOT NULL);

CREATE TABLE checkpoint (
    size BIGINT NOT NULL,
    root BLOB NOT NULL,
    note VARCHAR NOT NULL,
    unix_time_second DOUBLE NOT NULL
);

CREATE TABLE refusal (
    unix_time_second DOUBLE NOT NULL,
    claimed_device VARCHAR NOT NULL,
    peer VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    message VARCHAR NOT NULL
);

CREATE TABLE device (
    device VARCHAR NOT NULL,
    thumbprint BLOB NOT NULL,
    certificate BLOB NOT NULL,
    not_after_unix_time_second DOUBLE NOT NULL
);

-- What a pack says of itself; the last row of a device counts.
CREATE TABLE pack (
    device VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    chemistry VARCHAR,
    nominal_capacity_ah DOUBLE,
    series_count BIGINT NOT NULL,
    source VARCHAR NOT NULL
);

CREATE TABLE finding (
    device VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    origin VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    severity BIGINT NOT NULL,
    signal VARCHAR NOT NULL,
    item BIGINT NOT NULL,
    unix_time_second DOUBLE NOT NULL,
    message VARCHAR NOT NULL,
    evidence VARCHAR NOT NULL
);

-- One row a verdict; `receipt` is the whole proof as JSON, the last row of a device counts.
CREATE TABLE verdict (
    receipt_id VARCHAR NOT NULL,
    device VARCHAR NOT NULL,
    unix_time_second DOUBLE NOT NULL,
    last_sequence BIGINT NOT NULL,
    verdict VARCHAR NOT NULL,
    receipt VARCHAR NOT NULL
);

CREATE TABLE account (
    name VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    password_hash VARCHAR NOT NULL,
    created_unix_time_second DOUBLE NOT NULL
);

CREATE TABLE audit (
    unix_time_second DOUBLE NOT NULL,
    actor VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL
);
