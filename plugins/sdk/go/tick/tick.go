// Package tick is for checks of silence as well as of messages: a program that imports it exports the
// ticker too.
package tick

import "feedpulse/check"

// Export makes a [check.Ticker] the check of this program, called for messages and about once a second:
//
//	func init() {
//		tick.Export(func(settings string) (check.Ticker, error) { return quiet{}, check.NoSettings(settings) })
//	}
func Export(makes func(settings string) (check.Ticker, error)) {
	check.Export(func(settings string) (check.Checker, error) { return makes(settings) })
}
