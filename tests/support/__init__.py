"""What tests share: an opened installation, an in-process client, a real service, made-up people."""
