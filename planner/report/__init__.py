"""What people read: terminal tables, figures, HTML pages."""
