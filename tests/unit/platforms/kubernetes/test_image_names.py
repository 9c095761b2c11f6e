import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.image_names import ImageName, parse_image_name

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("zoo", ImageName("", "zoo", "", "")),
        ("zoo:1", ImageName("", "zoo", "1", "")),
        ("team/zoo:v1.2-rc_3", ImageName("", "team/zoo", "v1.2-rc_3", "")),
        ("registry.example/zoo:1", ImageName("registry.example", "zoo", "1", "")),
        ("localhost/zoo", ImageName("localhost", "zoo", "", "")),
        ("registry:5000/team/zoo", ImageName("registry:5000", "team/zoo", "", "")),
        ("registry:5000/team/zoo:1", ImageName("registry:5000", "team/zoo", "1", "")),
        ("[::1]:5000/zoo:1", ImageName("[::1]:5000", "zoo", "1", "")),
        ("Registry.Example/a__b/c.d-e--f", ImageName("Registry.Example", "a__b/c.d-e--f", "", "")),
        (f"zoo@{DIGEST}", ImageName("", "zoo", "", DIGEST)),
        (f"r.example/zoo:1@{DIGEST}", ImageName("r.example", "zoo", "1", DIGEST)),
        (f"zoo:{'t' * 128}", ImageName("", "zoo", "t" * 128, "")),
    ],
)
def test_parts_of_a_name(text: str, name: ImageName) -> None:
    assert parse_image_name(text, "--image") == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' cannot be a part"),
        ("-zoo:1", "'-zoo' cannot be a part"),
        ("--privileged", "'--privileged' cannot be a part"),
        ("Team/zoo:1", "'Team' cannot be a part of it; capital letters"),
        ("team/Zoo:1", "'Zoo' cannot be a part of it; capital letters"),
        ("team//zoo", "'' cannot be a part"),
        ("team/zoo/", "'' cannot be a part"),
        ("my zoo:1", "'my zoo' cannot be a part"),
        ("zoo\nUSER root", "cannot be a part"),
        ("a___b", "'a___b' cannot be a part"),
        ("https://registry.example/zoo", "'https:' is no host"),
        ("-registry.example/zoo", "'-registry.example' is no host"),
        ("registry.example:port/zoo", "is no host"),
        ("zoo:", "'' is no tag"),
        ("zoo:-1", "'-1' is no tag"),
        (f"zoo:{'t' * 129}", "is no tag"),
        ("zoo:1:2", "'1:2' is no tag"),
        ("zoo@", "'' is no digest"),
        ("zoo@sha256:12", "'sha256:12' is no digest"),
        (f"registry.example/{'z' * 240}", "longer than 255"),
    ],
)
def test_what_is_no_name(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_image_name(text, "--image")
    message = str(caught.value)
    assert message.startswith(f"--image {text!r} is no name of an image, such as ")
    assert problem in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "moves"),
    [("zoo", True), ("r:5000/zoo:latest", True), ("zoo:1", False), (f"zoo@{DIGEST}", False)],
)
def test_a_name_without_a_tag_of_its_own_moves(text: str, moves: bool) -> None:
    assert parse_image_name(text, "--image").moves is moves


@pytest.mark.parametrize(
    ("text", "can_be_pushed"),
    [("zoo:1", False), ("user/zoo:1", True), ("localhost:5000/zoo:1", True)],
)
def test_a_word_alone_cannot_be_pushed(text: str, can_be_pushed: bool) -> None:
    assert parse_image_name(text, "IMAGE").can_be_pushed is can_be_pushed
