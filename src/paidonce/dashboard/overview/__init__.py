"""The overview: a merchant's figures for a day, a week or a month, and what needs attention now."""
