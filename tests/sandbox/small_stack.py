"""A built stack of a page, so that these tests do not depend on the product."""

import textwrap
from pathlib import Path

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: {Type: String, Default: hello}
Globals:
  Function:
    Timeout: 2
    MemorySize: 256
    Layers: [!Ref Layer]
    Environment: {Variables: {SHARED: from globals}}
Resources:
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: Layer}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties: {FailOnWarnings: true}
  Probe:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: Probe
      Handler: app.handler
      Environment: {Variables: {GREETING: !Ref Greeting, QUEUE_URL: !Ref Queue}}
      Events:
        Post: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: post, Path: /probe}}
        Item:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: ANY, Path: "/items/{id}"}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: Worker
      Handler: app.handler
      Environment: {Variables: {RESULTS_URL: !Ref Results}}
      Events:
        Queue:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            FunctionResponseTypes: [ReportBatchItemFailures]
        Stream:
          Type: Kinesis
          Properties:
            Stream: !GetAtt Stream.Arn
            StartingPosition: TRIM_HORIZON
            FunctionResponseTypes: [ReportBatchItemFailures]
        Files:
          Type: S3
          Properties:
            Bucket: !Ref Bucket
            Events: s3:ObjectCreated:*
            Filter: {S3Key: {Rules: [{Name: suffix, Value: .avro}]}}
  Broken:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: Broken, Handler: app.handler}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      FifoQueue: true
      VisibilityTimeout: 12
      RedrivePolicy:
        deadLetterTargetArn: !GetAtt DeadLetters.Arn
        maxReceiveCount: 3
  DeadLetters: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Results: {Type: AWS::SQS::Queue}
  Stream: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 1}}
  Bucket: {Type: AWS::S3::Bucket}
  WebhookSecret:
    Type: AWS::SecretsManager::Secret
    Properties:
      GenerateSecretString:
        SecretStringTemplate: '{"username": "mixpanel"}'
        GenerateStringKey: password
        ExcludePunctuation: true
  BrazeSecret: {Type: AWS::SecretsManager::Secret}
  Role: {Type: AWS::IAM::Role, Properties: {}}
Outputs:
  WebhookUrl:
    Value: !Sub https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/probe
"""

PROBE = """
import json, os, sys, time

def handler(event, context):
    if "requestContext" in event:
        return http(event)
    match event.get("do"):
        case "environment":
            return dict(os.environ)
        case "path":
            return sys.path
        case "modules":
            return [name for name in event["names"] if found(name)]
        case "raise":
            raise RuntimeError("on purpose")
        case "sleep":
            time.sleep(event["seconds"])
        case "exit":
            os._exit(event["status"])
        case "answer":
            return "x" * event["size"]
        case "context":
            return [context.function_name, context.aws_request_id,
                    context.get_remaining_time_in_millis(), os.getpid()]
    return event

def found(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True

def http(event):
    body = event.get("body") or ""
    if body == '{"pid": true}':
        return os.getpid()
    if body.startswith("{"):
        return json.loads(body).get("answer", event)
    if body == "raise":
        raise RuntimeError("on purpose")
    return event
"""

WORKER = """
import base64, json, os
import inlayer

def handler(event, context):
    import urllib.request
    print("worked on", len(event["Records"]))
    line = json.dumps([inlayer.NAME, event])
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"],
        json.dumps(
            {"QueueUrl": os.environ["RESULTS_URL"], "MessageBody": line}
        ).encode(),
        {"X-Amz-Target": "AmazonSQS.SendMessage",
         "Content-Type": "application/x-amz-json-1.0",
         "Authorization": "AWS4-HMAC-SHA256 Credential=a/20250101/us-east-1/sqs/x"},
    )
    urllib.request.urlopen(request).read()
"""

BROKEN = "import not_in_the_layer\n\ndef handler(event, context):\n    return None\n"


def build(folder: Path, template: str = TEMPLATE) -> Path:
    """Write a template and its code as `sam build` leaves them."""
    files = {
        "template.yaml": textwrap.dedent(template),
        "Probe/app.py": PROBE,
        "Worker/app.py": WORKER,
        "Broken/app.py": BROKEN,
        "Layer/python/inlayer.py": "NAME = 'layer'\n",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder
