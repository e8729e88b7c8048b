"""Lambda: functions in processes of their own under AWS's runtime client."""
