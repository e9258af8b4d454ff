# The sketch that the views are measured beside: it checks nothing and records nothing.
import sys

from flask import Flask, jsonify

civil_affairs = {"name": "Zhang San", "marital_status": "married"}
social_security = {"insured": True, "employer": "Example Co."}
public_security = {"record": "none"}

app = Flask(__name__)


@app.route("/api/user_data/<id>")
def user_data(id):
    return jsonify({**civil_affairs, **social_security, **public_security})


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
