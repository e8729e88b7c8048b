"""The ports of the flow on DynamoDB, S3 and SQS."""
