"""What gridax promises about speed and size, measured: ``make bench`` prints one table."""
