"""Results as files: netCDF and Zarr, and a Space as JSON and back."""
