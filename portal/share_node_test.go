package portal

func runShareNodeIfAsked() {}
