"""Prints the records of a compressed OTLP request as JSON, one a line."""

import gzip
import json
import sys

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

request = ExportLogsServiceRequest()
with gzip.open(sys.argv[1]) as body:
    request.ParseFromString(body.read())
for resource_logs in request.resource_logs:
    for scope_logs in resource_logs.scope_logs:
        for record in scope_logs.log_records:
            attributes = {}
            for attribute in record.attributes:
                kind = attribute.value.WhichOneof("value")
                value = getattr(attribute.value, kind)
                if kind == "array_value":
                    value = [item.string_value for item in value.values]
                elif kind == "bytes_value":
                    value = value.hex()
                attributes[attribute.key] = value
            print(json.dumps({
                "event_name": record.event_name,
                "time": record.time_unix_nano,
                "attributes": attributes,
            }))
