"""The dashboard: pages for a merchant's people and for operators. Each page and action is declared where it is."""
