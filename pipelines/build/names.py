"""Names that compiled pipelines and those who run them must agree on. Imports nothing."""

CHECKOUT = "/opt/tiphys"  # where the project lies in the image
CLAIM = "workspace"  # the volume, and the claim of it
PART_OF = {"app.kubernetes.io/part-of": "tiphys"}
