"""The configuration: read, checked and refused here, with the file and the line. app/ and cli/ call it."""
