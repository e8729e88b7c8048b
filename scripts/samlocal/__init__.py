"""`make samlocal`: the sample events through real `sam local`, on the local cloud."""
