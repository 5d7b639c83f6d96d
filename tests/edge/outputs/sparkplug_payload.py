"""Sparkplug B's payload as Google's own library reads it: a second opinion on our encoder.

The numbers are those of the specification; only what is used here stands in it.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

_F = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "uint64": _F.TYPE_UINT64,
    "uint32": _F.TYPE_UINT32,
    "bool": _F.TYPE_BOOL,
    "double": _F.TYPE_DOUBLE,
    "float": _F.TYPE_FLOAT,
    "string": _F.TYPE_STRING,
    "bytes": _F.TYPE_BYTES,
}
_MESSAGES = {
    "PropertyValue": (
        (1, "type", "uint32"),
        (2, "is_null", "bool"),
        (8, "string_value", "string"),
    ),
    "PropertySet": ((1, "keys", "string*"), (2, "values", "PropertyValue*")),
    "Metric": (
        (1, "name", "string"),
        (2, "alias", "uint64"),
        (3, "timestamp", "uint64"),
        (4, "datatype", "uint32"),
        (5, "is_historical", "bool"),
        (6, "is_transient", "bool"),
        (7, "is_null", "bool"),
        (9, "properties", "PropertySet"),
        (10, "int_value", "uint32"),
        (11, "long_value", "uint64"),
        (12, "float_value", "float"),
        (13, "double_value", "double"),
        (14, "boolean_value", "bool"),
        (15, "string_value", "string"),
        (16, "bytes_value", "bytes"),
    ),
    "Payload": (
        (1, "timestamp", "uint64"),
        (2, "metrics", "Metric*"),
        (3, "seq", "uint64"),
        (4, "uuid", "string"),
        (5, "body", "bytes"),
    ),
}


def _payload_class() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", syntax="proto2")
    file.package = "spec"
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, label, kind in fields:
            field = message.field.add(name=label, number=number)
            many = kind.endswith("*")
            field.label = _F.LABEL_REPEATED if many else _F.LABEL_OPTIONAL
            one = kind.rstrip("*")
            if one in _KINDS:
                field.type = _KINDS[one]
            else:
                field.type, field.type_name = _F.TYPE_MESSAGE, f".spec.{one}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("spec.Payload"))


Payload = _payload_class()


def read(data: bytes) -> Message:
    payload = Payload()
    payload.ParseFromString(data)
    for message in (payload, *payload.metrics):
        assert len(UnknownFieldSet(message)) == 0, "a field that the specification does not have"
    return payload


def write(**metric: object) -> bytes:
    payload = Payload()
    row = payload.metrics.add()
    for name, value in metric.items():
        setattr(row, name, value)
    return payload.SerializeToString()
