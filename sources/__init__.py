"""How each dataset is read into one record, the `Study`; knows nothing above it but `infra`."""
