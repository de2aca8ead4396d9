"""What travels and what rests: messages, topics, tables, rows of files. Imports nothing of ours."""
