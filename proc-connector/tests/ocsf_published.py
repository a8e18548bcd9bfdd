"""Prints the published schema of an OCSF class as JSON Schema: VERSION CLASS PROFILES."""

import json
import sys

from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

version, name, profiles = sys.argv[1:]
schema = get_ocsf_schema(version)
uri = f"https://schema.ocsf.io/schema/{version}/classes/{name}?profiles={profiles}"
print(json.dumps(OcsfJsonSchemaEmbedded(schema).get_schema_from_uri(uri)))
