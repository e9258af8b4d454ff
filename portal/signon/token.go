package signon

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// redeem gives the code for an identity token, proves it, and reads who it is.
func (p *Provider) redeem(ctx context.Context, known *known, f Flow, code string) (Person, *Refusal) {
	ctx = oidc.ClientContext(ctx, p.client)
	conf := known.oauth
	var err error
	if conf.ClientSecret, err = p.c.ClientSecret.Reveal(); err != nil { // anew each time: it may be changed while the node runs
		return Person{}, away(fmt.Errorf("the client's secret cannot be read (portal.oidc.client_secret): %w", err))
	}
	tokens, err := conf.Exchange(ctx, code, oauth2.VerifierOption(f.verifier))
	if err != nil {
		return Person{}, notExchanged(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" || len(raw) > mostToken {
		return Person{}, unbelievable("the answer has no identity token, or one of more than %d bytes", mostToken)
	}
	token, err := known.verifier.Verify(ctx, raw)
	if err != nil {
		return Person{}, unbelievable("the identity token is not valid: %w", err)
	}
	claims, err := p.prove(token, tokens.AccessToken, f)
	if err != nil {
		return Person{}, unbelievable("the identity token is not valid: %w", err)
	}
	if err := p.complete(ctx, known, token, tokens, claims); err != nil {
		return Person{}, away(err)
	}
	return p.person(token.Subject, claims)
}

// prove checks what the library leaves to its caller: nonce, authorised party, times and the access token's hash.
func (p *Provider) prove(token *oidc.IDToken, access string, f Flow) (map[string]json.RawMessage, error) {
	var claims map[string]json.RawMessage
	if token.Claims(&claims) != nil {
		return nil, errors.New("its claims are no object")
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.nonce)) != 1 {
		return nil, errors.New("it has another nonce than this sign-in")
	}
	if token.Subject == "" || len(token.Subject) > mostSubject {
		return nil, errors.New("it has no sub, or one that is too long")
	}
	azp, told, err := text(claims["azp"])
	switch {
	case err != nil || told && azp != p.c.ClientID:
		return nil, errors.New("it was issued to another client (azp)")
	case !told && len(token.Audience) > 1:
		return nil, errors.New("it is for several audiences and names none that it was issued to (azp)")
	}
	now, leeway := p.now(), time.Duration(p.c.Leeway)
	switch {
	case token.IssuedAt.IsZero() || token.IssuedAt.Unix() == 0:
		return nil, errors.New("it does not say when it was issued (iat)")
	case token.IssuedAt.After(now.Add(leeway)):
		return nil, errors.New("it was issued in the future (iat): compare the clocks")
	case token.IssuedAt.Before(f.began.Add(-leeway).Truncate(time.Second)):
		return nil, errors.New("it was issued before this sign-in began (iat)")
	}
	if len(claims["nbf"]) > 0 {
		var notBefore float64
		if json.Unmarshal(claims["nbf"], &notBefore) != nil || notBefore > float64(now.Add(leeway).Unix()) {
			return nil, errors.New("it is not valid yet (nbf)")
		}
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(access); err != nil {
			return nil, errors.New("it is not of the access token that came with it (at_hash)")
		}
	}
	return claims, nil
}

// complete asks the provider's UserInfo for the claims that the identity token leaves out.
func (p *Provider) complete(ctx context.Context, known *known, token *oidc.IDToken, tokens *oauth2.Token, claims map[string]json.RawMessage) error {
	_, named := claims[p.c.NameClaim]
	_, grouped := claims[p.c.GroupsClaim]
	if named && grouped || known.provider.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := known.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return fmt.Errorf("the provider's UserInfo cannot be read: %w", err)
	}
	var more map[string]json.RawMessage
	if info.Claims(&more) != nil {
		return errors.New("the provider's UserInfo is no object")
	}
	if info.Subject != token.Subject { // OpenID Connect Core 1.0, 5.3.2: it may be somebody else's
		return errors.New("the provider's UserInfo is about another subject than the identity token")
	}
	for _, name := range []string{p.c.NameClaim, p.c.GroupsClaim} {
		if _, there := claims[name]; !there && more[name] != nil {
			claims[name] = more[name]
		}
	}
	return nil
}

func (p *Provider) person(subject string, claims map[string]json.RawMessage) (Person, *Refusal) {
	name, _, err := text(claims[p.c.NameClaim])
	if err != nil || !names.MatchString(name) {
		return Person{}, nameless(p.c.NameClaim)
	}
	groups, told, err := texts(claims[p.c.GroupsClaim])
	if err != nil {
		return Person{}, unbelievable("the claim %s is no list of groups: %w", p.c.GroupsClaim, err)
	}
	return Person{Name: p.actor(name, subject), Groups: groups, told: told}, nil
}

// text reads a claim that is a string; told is false when there is none.
func text(claim json.RawMessage) (s string, told bool, err error) {
	if len(claim) == 0 || string(claim) == "null" {
		return "", false, nil
	}
	if json.Unmarshal(claim, &s) != nil {
		return "", true, errors.New("it is no text") // the decoder's own words could quote it (I7)
	}
	return s, true, nil
}

// texts reads a claim that is a list of strings, or one string.
func texts(claim json.RawMessage) (list []string, told bool, err error) {
	if s, told, err := text(claim); err == nil {
		if told {
			list = []string{s}
		}
		return list, told, nil
	}
	if json.Unmarshal(claim, &list) != nil {
		return nil, true, errors.New("it is no list of texts")
	}
	if len(list) > mostGroups {
		return nil, true, fmt.Errorf("it has more than %d entries", mostGroups)
	}
	return list, true, nil
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// notExchanged is why a code was not taken. What the provider writes beside its error code may hold anything (I7).
func notExchanged(err error) *Refusal {
	var said *oauth2.RetrieveError
	if !errors.As(err, &said) {
		return away(fmt.Errorf("the code cannot be given for a token: %w", err))
	}
	code := said.ErrorCode
	if !errorCode.MatchString(code) {
		code = "no error code"
	}
	status := 0
	if said.Response != nil {
		status = said.Response.StatusCode
	}
	switch {
	case code == "invalid_client" || code == "unauthorized_client":
		return away(fmt.Errorf("the provider does not take the client's id and secret (%s); see portal.oidc in county.yaml", code))
	case status >= 500:
		return away(fmt.Errorf("the provider answers %d to the code", status))
	}
	return unbelievable("the provider does not take the code: %s (%d)", code, status)
}
