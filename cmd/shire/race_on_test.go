//go:build race

package main

// raceDetector tells whether the tests watch for races, which takes several times the memory.
const raceDetector = true
