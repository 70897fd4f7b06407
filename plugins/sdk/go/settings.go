package check

import (
	"encoding/json"
	"errors"
	"strings"
)

// Settings reads the operator's settings into a struct that holds the defaults. A name that the struct
// does not have, or a value of another type, is an error: a typing error must not go unnoticed.
//
//	limits := struct {
//		Minutes int `json:"minutes"`
//	}{Minutes: 60}
//	if err := check.Settings(settings, &limits); err != nil {
//		return nil, err
//	}
func Settings(settings string, into any) error {
	if strings.TrimSpace(settings) == "" {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(settings))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errors.New("settings: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
