"""The configuration file, which is read and checked, and the certificate that it names."""
