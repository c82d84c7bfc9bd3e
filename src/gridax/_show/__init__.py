"""How spaces, plans and results show themselves: text, HTML, plots."""
