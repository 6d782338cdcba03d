"""What is wished: the configuration file, checked, and the certificate that it names."""
