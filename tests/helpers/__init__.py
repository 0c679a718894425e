"""What several test modules share: rows of cases, transcriptions of papers, random trees. No tests."""
