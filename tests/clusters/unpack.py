"""Takes the jars that Spark needs out of the wheels in a folder, which are removed. Usage: unpack.py FOLDER"""

import pathlib
import re
import sys
import zipfile

S3 = r"hadoop-aws|aws-java-sdk-(core|s3|sts|kms|dynamodb)|ion-java|jackson-dataformat-cbor|jmespath-java|joda-time|wildfly-openssl"
# Which jars go where, and how many there must be.
WANTED = [
    (re.compile(rf"({S3})-[\d.]+[^/]*\.jar"), ".", 11),
    (re.compile(r"iceberg-spark-runtime-3\.5_2\.12-[\d.]+\.jar"), ".", 1),
    (re.compile(r"(httpclient5|httpcore5|httpcore5-h2)-[\d.]+\.jar"), "http", 3),
]

folder = pathlib.Path(sys.argv[1])
found = [[] for _ in WANTED]
for wheel in folder.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for path in archive.namelist():
            name = pathlib.PurePosixPath(path).name
            for kind, (pattern, place, _) in enumerate(WANTED):
                if pattern.fullmatch(name):
                    (folder / place / name).write_bytes(archive.read(path))
                    found[kind].append(name)
    wheel.unlink()
for names, (pattern, _, count) in zip(found, WANTED):
    if len(names) != count:
        sys.exit(f"{count} jars are wanted for {pattern.pattern}, found {names}")
