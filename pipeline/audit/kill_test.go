package audit

func appendIfAsked() {}
