"""Named dimensions and the axes along them: selection, tables, the xarray index."""
