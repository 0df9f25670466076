"""Images: reading a user's folder or parquet file, data sets, augmentation, networks for small images."""
